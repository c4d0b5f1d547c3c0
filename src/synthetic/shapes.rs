//! Shapes as signed distances, painted with soft edges. Only operations that IEEE 754 rounds exactly
//! (+ − × ÷ √) are used, so that the pixels are the same on every machine.

use sarb_labels::images::Rgb8;

/// A point or a direction.
pub(crate) type Vec2 = [f32; 2];
/// Red, green and blue, 0 to 255.
pub(crate) type Color = [f32; 3];

/// What a mark looks like. The first twelve are the categories, in their order; the rest is clutter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    Arc,
    Bars,
    Checker,
    Crescent,
    Cross,
    Disc,
    Frame,
    Ring,
    Square,
    Star,
    Stripes,
    Triangle,
    Oval,
    Stick,
    Corner,
}

impl Shape {
    /// The shapes of the categories.
    pub(crate) const CATEGORIES: [Shape; 12] = [
        Shape::Arc,
        Shape::Bars,
        Shape::Checker,
        Shape::Crescent,
        Shape::Cross,
        Shape::Disc,
        Shape::Frame,
        Shape::Ring,
        Shape::Square,
        Shape::Star,
        Shape::Stripes,
        Shape::Triangle,
    ];
    /// Shapes that no label speaks of.
    pub(crate) const CLUTTER: [Shape; 3] = [Shape::Oval, Shape::Stick, Shape::Corner];

    /// How far a point lies outside (negative: inside), in units of the shape's radius.
    fn distance(self, p: Vec2, round: bool) -> f32 {
        let [x, y] = p;
        let ring = (length(p) - 0.72).abs() - 0.2;
        let patch = if round { length(p) - 0.92 } else { square(p, 0.78) };
        match self {
            Shape::Arc => ring.max(y - 0.1),
            Shape::Bars => ((x.abs() - 0.5).abs() - 0.22).max(y.abs() - 0.82),
            Shape::Checker | Shape::Stripes => patch,
            Shape::Crescent => (length(p) - 0.95).max(0.72 - length([x - 0.48, y])),
            Shape::Cross => rectangle(p, [0.92, 0.27]).min(rectangle(p, [0.27, 0.92])),
            Shape::Disc => length(p) - 0.92,
            Shape::Frame => (square(p, 0.0) - 0.62).abs() - 0.17,
            Shape::Ring => ring,
            Shape::Square => square(p, 0.78),
            Shape::Star => star(p),
            Shape::Triangle => [[0.0, 1.0], [0.866_025_4, -0.5], [-0.866_025_4, -0.5]]
                .map(|side| dot(p, side) - 0.5)
                .into_iter()
                .fold(f32::MIN, f32::max),
            Shape::Oval => (length([x, y / 0.4]) - 0.95) * 0.4,
            Shape::Stick => rectangle(p, [0.95, 0.16]),
            Shape::Corner => rectangle([x, y + 0.6], [0.8, 0.2]).min(rectangle([x + 0.6, y], [0.2, 0.8])),
        }
    }

    /// Whether a point inside has the second color.
    fn has_second_color(self, [x, y]: Vec2) -> bool {
        let cell = |along: f32| ((along + 4.0) * 2.5) as i32;
        match self {
            Shape::Checker => (cell(x) + cell(y)) % 2 == 0,
            Shape::Stripes => cell(x) % 2 == 0,
            _ => false,
        }
    }
}

/// The corner points of a pentagram's lines: a point is inside the star when it is on the inner side
/// of at least four of the five.
fn star(p: Vec2) -> f32 {
    const NORMALS: [Vec2; 5] = [
        [0.0, 1.0],
        [0.951_056_5, 0.309_017],
        [0.587_785_25, -0.809_017],
        [-0.587_785_25, -0.809_017],
        [-0.951_056_5, 0.309_017],
    ];
    let mut distances = NORMALS.map(|normal| dot(p, normal) - 0.36);
    distances.sort_by(f32::total_cmp);
    distances[3]
}

fn dot(a: Vec2, b: Vec2) -> f32 {
    a[0] * b[0] + a[1] * b[1]
}

pub(crate) fn length(p: Vec2) -> f32 {
    dot(p, p).sqrt()
}

fn square([x, y]: Vec2, half: f32) -> f32 {
    x.abs().max(y.abs()) - half
}

fn rectangle([x, y]: Vec2, [half_width, half_height]: Vec2) -> f32 {
    (x.abs() - half_width).max(y.abs() - half_height)
}

/// A shape at a place.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mark {
    pub shape: Shape,
    /// In pixels.
    pub center: Vec2,
    /// In pixels.
    pub radius: f32,
    /// Cosine and sine of the turn.
    pub turn: Vec2,
    /// Whether a patch is round.
    pub round: bool,
    pub colors: [Color; 2],
    /// Change of brightness from one end to the other.
    pub shade: f32,
}

impl Mark {
    /// The pixels that the mark covers in a square of `side`, with their coverage of 0 to 1 and
    /// color.
    pub(crate) fn pixels(&self, side: usize) -> Vec<(usize, f32, Color)> {
        let range = |center: f32| {
            let first = (center - self.radius * 1.3 - 1.0).max(0.0) as usize;
            first..((center + self.radius * 1.3 + 2.0).max(0.0) as usize).min(side)
        };
        let mut pixels = Vec::new();
        for y in range(self.center[1]) {
            for x in range(self.center[0]) {
                let from_center = [x as f32 + 0.5 - self.center[0], y as f32 + 0.5 - self.center[1]];
                let [cosine, sine] = self.turn;
                let p = [
                    dot(from_center, [cosine, sine]) / self.radius,
                    dot(from_center, [-sine, cosine]) / self.radius,
                ];
                let coverage = (0.5 - self.shape.distance(p, self.round) * self.radius).clamp(0.0, 1.0);
                if coverage > 0.0 {
                    let color = self.colors[usize::from(self.shape.has_second_color(p))];
                    pixels.push((y * side + x, coverage, color.map(|level| level + p[1] * self.shade)));
                }
            }
        }
        pixels
    }
}

/// A square picture that is painted on.
#[derive(Debug, Clone)]
pub(crate) struct Canvas {
    pub side: usize,
    pub pixels: Vec<Color>,
}

impl Canvas {
    pub(crate) fn paint(&mut self, pixels: &[(usize, f32, Color)]) {
        for &(place, coverage, color) in pixels {
            for (level, new) in self.pixels[place].iter_mut().zip(color) {
                *level += coverage * (new - *level);
            }
        }
    }

    /// Rounded to 8 bits.
    pub(crate) fn to_rgb8(&self) -> Rgb8 {
        let level = |level: f32| (level.clamp(0.0, 255.0) + 0.5) as u8;
        let pixels = self.pixels.iter().flat_map(|color| color.map(level)).collect();
        Rgb8 { width: self.side as u32, height: self.side as u32, pixels }
    }
}
