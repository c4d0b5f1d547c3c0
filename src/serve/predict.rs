//! `POST /v1/predict` and `GET /v1/models`: what `sarb predict --format jsonl` says, under the same names.

use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sarb_labels::images::Rgb8;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::model::Model;
use super::pictures::images;
use super::problem::{Problem, json_response};
use super::recognition::Recognized;
use super::state::Server;
use crate::Attention;
use crate::decisions::selection::Selection;
use crate::decisions::thresholds::{Decisions, Goal};
use crate::heat_map::{Scale, overlay};
use crate::recognizer::probability;

/// Most heat maps of an image.
const MOST_MAPS: usize = 20;

/// What is asked for beside the images.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ask {
    model: Option<String>,
    /// What the image is called where the body does not say.
    name: Option<String>,
    top: Option<usize>,
    threshold: Option<f64>,
    decide: Option<String>,
    /// Whether categories below their threshold are named too.
    #[serde(default)]
    all: bool,
    /// Heat maps of so many of the named categories.
    #[serde(default)]
    maps: usize,
    /// A heat map of this category.
    map: Option<String>,
}

/// What is asked for, checked against a model.
struct Wanted {
    top: Option<usize>,
    threshold: Option<f32>,
    decisions: Option<Arc<Decisions>>,
    all: bool,
    maps: usize,
    map: Option<usize>,
}

/// `GET /v1/models`.
pub async fn models(State(server): State<Arc<Server>>) -> Response {
    let models: Vec<Value> = server
        .models
        .iter()
        .map(|model| {
            let about = &model.about;
            json!({ "name": about.name, "version": about.version, "categories": about.categories,
                "maps": about.sees_places, "decides": model.decides() })
        })
        .collect();
    json_response(StatusCode::OK, &json!({ "models": models, "corrections": server.corrections.is_some() }))
}

/// `POST /v1/predict`.
pub async fn predict(
    State(server): State<Arc<Server>>,
    ask: Result<Query<Ask>, QueryRejection>,
    request: Request,
) -> Result<Response, Problem> {
    let Query(ask) = ask.map_err(|rejection| Problem::bad(rejection.body_text()))?;
    let model = server.model(ask.model.as_deref())?.clone();
    let wanted = Wanted::of(&server, &model, &ask).await?;
    let (head, body) = request.into_parts();
    let body = server.bodies.read(&head.headers, body).await?;
    let (images, several) =
        images(&head.headers, body.bytes.clone(), ask.name, server.limits.max_images).await?;
    let names: Vec<String> = images.iter().map(|image| image.name.clone()).collect();
    let answers = server.recognize(&model, images, wanted.asks_for_places()).await?;
    let mut predictions = Vec::with_capacity(names.len());
    for (name, answer) in names.into_iter().zip(answers) {
        predictions.push(match answer {
            Ok(recognized) => wanted.prediction(&server, &model, name, recognized).await?,
            // The others of the request are answered.
            Err(problem) if several && problem.status == StatusCode::UNPROCESSABLE_ENTITY => {
                json!({ "image": name, "error": problem.detail })
            }
            Err(problem) => return Err(problem),
        });
    }
    let about = &model.about;
    let answer = json!({ "model": about.name, "version": about.version, "predictions": predictions });
    Ok(json_response(StatusCode::OK, &answer))
}

impl Wanted {
    async fn of(server: &Server, model: &Arc<Model>, ask: &Ask) -> Result<Self, Problem> {
        let threshold = ask.threshold.map(|it| it as f32);
        if threshold.is_some_and(|it| !(0.0..=1.0).contains(&it)) {
            return Err(Problem::bad("threshold: expected a probability from 0 to 1, such as 0.8"));
        }
        if threshold.is_some() && ask.decide.is_some() {
            return Err(Problem::bad(
                "threshold and decide exclude each other: decide has its own thresholds",
            ));
        }
        if ask.maps > MOST_MAPS {
            return Err(Problem::bad(format!("maps: expected at most {MOST_MAPS}")));
        }
        let place = |name: &String| {
            let found = model.about.categories.iter().position(|category| category == name);
            found.ok_or_else(|| Problem::bad(format!("map: {} has no category {name:?}", model.about.name)))
        };
        let map = ask.map.as_ref().map(place).transpose()?;
        if (ask.maps > 0 || map.is_some()) && !model.about.sees_places {
            return Err(Problem::bad(format!(
                "{}: the backbone gives one descriptor for each image, which has no places to show; ask a model with maps",
                model.about.name
            )));
        }
        let decisions = match &ask.decide {
            Some(goal) => {
                let goal: Goal =
                    goal.parse().map_err(|error: crate::Error| Problem::bad(format!("decide: {error}")))?;
                let model = model.clone();
                Some(server.on_a_core(move || model.decisions(goal)).await??)
            }
            None => None,
        };
        Ok(Self { top: ask.top, threshold, decisions, all: ask.all, maps: ask.maps, map })
    }

    fn asks_for_places(&self) -> bool {
        self.maps > 0 || self.map.is_some()
    }

    async fn prediction(
        &self,
        server: &Server,
        model: &Model,
        name: String,
        recognized: Recognized,
    ) -> Result<Value, Problem> {
        let names = &model.about.categories;
        let decisions = self.decisions.as_deref();
        let logits = decisions.map_or(recognized.logits.clone(), |it| it.calibrated(&recognized.logits));
        let selection = Selection { top: self.top, threshold: self.threshold, decisions };
        let everything = Selection { top: self.top, ..Selection::default() };
        let shown = if self.all { everything.shown(&logits) } else { selection.shown(&logits) };
        let label = |&c: &usize| {
            let mut label =
                json!({ "name": names[c], "probability": probability(logits[c]), "logit": logits[c] });
            if let Some(decisions) = decisions {
                // Null where no threshold gives what was wanted.
                label["threshold"] = json!(decisions.categories[c].threshold);
            }
            if self.all {
                label["named"] =
                    json!(selection.least(c).is_none_or(|least| probability(logits[c]) >= least));
            }
            label
        };
        let labels: Vec<Value> = shown.iter().map(label).collect();
        let mut prediction = json!({ "image": name, "labels": labels });
        if let Some((photo, attention)) = recognized.places {
            let mut categories: Vec<usize> = shown.into_iter().take(self.maps).collect();
            categories.extend(self.map.filter(|map| !categories.contains(map)));
            let drawn = server.on_a_core({
                let categories = categories.clone();
                move || pictures(&photo, &attention, &categories)
            });
            let maps = categories.iter().map(|&c| names[c].clone()).zip(drawn.await?);
            prediction["maps"] = Value::Object(maps.collect::<Map<String, Value>>());
        }
        Ok(prediction)
    }
}

/// The heat maps of some categories over the photograph, all on one scale, as PNG in base64.
fn pictures(photo: &Rgb8, attention: &Attention, categories: &[usize]) -> Vec<Value> {
    let scale = Scale::of(categories.iter().flat_map(|&category| attention.of(category)).copied());
    let picture = |&category: &usize| {
        let Rgb8 { width, height, pixels } = overlay(photo, attention.of(category), attention.grid(), scale);
        let picture = image::RgbImage::from_raw(width, height, pixels).expect("three bytes a pixel");
        let mut png = std::io::Cursor::new(Vec::new());
        picture.write_to(&mut png, image::ImageFormat::Png).expect("memory takes an RGB image");
        Value::from(STANDARD.encode(png.into_inner()))
    };
    categories.iter().map(picture).collect()
}
