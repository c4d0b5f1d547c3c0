//! From the images of a request to what the network says of each.

use futures_util::future::join_all;
use sarb_labels::images::{Rgb8, decode_bytes};

use super::model::{Model, Prepared};
use super::pictures::{Content, Image};
use super::problem::Problem;
use super::state::Server;
use crate::Attention;
use crate::thumbnail::shrunk_to;

/// The longer side of the photograph below a heat map, in pixels.
const MAP_SIDE_PX: u32 = 640;

/// What the network says of an image.
#[derive(Debug)]
pub struct Recognized {
    /// Logit of each category.
    pub logits: Vec<f32>,
    /// The photograph, shrunk, and where each category is seen in it, where that was asked for.
    pub places: Option<(Rgb8, Attention)>,
}

/// An image as the network reads it, and the photograph for its heat maps.
struct Ready {
    prepared: Prepared,
    photo: Option<Rgb8>,
}

impl Server {
    /// What a model says of each image; one that cannot be read does not keep the others from it. `places` says whether
    /// places are asked for.
    ///
    /// # Errors
    /// 413 of more images than a request may have, 503 where the queue has no room for them.
    pub async fn recognize(
        &self,
        model: &std::sync::Arc<Model>,
        images: Vec<Image>,
        places: bool,
    ) -> Result<Vec<Result<Recognized, Problem>>, Problem> {
        if images.len() > self.limits.max_images {
            return Err(Problem::too_large(format!(
                "{} images in one request; the server takes {} (--max-images)",
                images.len(),
                self.limits.max_images
            )));
        }
        let admitted = model.admit(images.len())?;
        let asked = images.into_iter().zip(admitted).map(async |(image, place)| {
            let Ready { prepared, photo } = self.prepare(model, image, places).await?;
            let seen = model.ask(place, prepared).await?;
            Ok(Recognized { logits: seen.logits, places: photo.zip(seen.attention) })
        });
        Ok(join_all(asked).await)
    }

    /// Decodes on a thread of its own, as many at once as there are cores: a decoded photograph may take 150 MB.
    async fn prepare(
        &self,
        model: &std::sync::Arc<Model>,
        image: Image,
        places: bool,
    ) -> Result<Ready, Problem> {
        let model = model.clone();
        let prepare = move || {
            let pixels = match image.content {
                Content::Bytes(bytes) => decode_bytes(&bytes, &image.name).map_err(crate::Error::from)?,
                Content::Pixels(pixels) => pixels,
            };
            let photo = places.then(|| shrunk_to(&pixels, MAP_SIDE_PX));
            Ok(Ready { prepared: model.prepare(&pixels, places), photo })
        };
        self.on_a_core(prepare).await?
    }
}
