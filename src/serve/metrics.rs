//! What monitors read of the server, in the text format of Prometheus.

use std::sync::atomic::AtomicI64;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

/// Seconds from a cached answer to the longest that a client waits.
const SECONDS: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0];

/// A request by the route that it took, never by its path, of which there is no end.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Answered {
    route: String,
    status: u16,
}

/// A run.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct OfModel {
    model: String,
}

/// The counts of a server.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    requests: Family<Answered, Counter>,
    seconds: Histogram,
    images: Family<OfModel, Counter>,
    refused: Family<OfModel, Counter>,
    batch_size: Family<OfModel, Histogram>,
    batch_seconds: Family<OfModel, Histogram>,
    queued: Family<OfModel, Gauge>,
    /// Connections that are open.
    pub connections: Gauge<i64, AtomicI64>,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("sarb");
        let histogram: fn() -> Histogram = || Histogram::new(SECONDS);
        let sizes: fn() -> Histogram = || Histogram::new([1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0]);
        let metrics = Self {
            requests: Family::default(),
            seconds: histogram(),
            images: Family::default(),
            refused: Family::default(),
            batch_size: Family::new_with_constructor(sizes),
            batch_seconds: Family::new_with_constructor(histogram),
            queued: Family::default(),
            connections: Gauge::default(),
            registry: Registry::default(),
        };
        registry.register("requests", "Requests by route and status", metrics.requests.clone());
        registry.register_with_unit(
            "request",
            "Time from a request to its answer",
            Unit::Seconds,
            metrics.seconds.clone(),
        );
        registry.register("images", "Images that were recognized", metrics.images.clone());
        registry.register("refused_images", "Images that found the queue full", metrics.refused.clone());
        registry.register(
            "batch_images",
            "Images that went through the network together",
            metrics.batch_size.clone(),
        );
        registry.register_with_unit(
            "batch",
            "Time of a batch in the network",
            Unit::Seconds,
            metrics.batch_seconds.clone(),
        );
        registry.register("queued_images", "Images that wait or are in work", metrics.queued.clone());
        registry.register("connections", "Open connections", metrics.connections.clone());
        Self { registry, ..metrics }
    }
}

impl Metrics {
    /// Counts a request that was answered.
    pub fn answered(&self, route: &str, status: u16, time: Duration) {
        self.requests.get_or_create(&Answered { route: route.to_owned(), status }).inc();
        self.seconds.observe(time.as_secs_f64());
    }

    /// Counts images that found no place.
    pub fn refused(&self, model: &str, images: usize) {
        self.refused.get_or_create(&of(model)).inc_by(images as u64);
    }

    /// Counts a batch.
    pub fn batch(&self, model: &str, images: usize, time: Duration) {
        self.images.get_or_create(&of(model)).inc_by(images as u64);
        self.batch_size.get_or_create(&of(model)).observe(images as f64);
        self.batch_seconds.get_or_create(&of(model)).observe(time.as_secs_f64());
    }

    /// Notes how many images of a run wait or are in work.
    pub fn queued(&self, model: &str, images: usize) {
        self.queued.get_or_create(&of(model)).set(images as i64);
    }

    /// The text.
    pub fn text(&self) -> String {
        let mut text = String::new();
        encode(&mut text, &self.registry).expect("memory takes text");
        text
    }
}

fn of(model: &str) -> OfModel {
    OfModel { model: model.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_written_as_prometheus_reads_them() {
        let metrics = Metrics::default();
        metrics.answered("/v1/predict", 200, Duration::from_millis(30));
        metrics.batch("a \"b\"", 3, Duration::from_millis(20));
        metrics.refused("m", 2);
        metrics.queued("m", 5);
        metrics.connections.inc();
        let text = metrics.text();
        for line in [
            "sarb_requests_total{route=\"/v1/predict\",status=\"200\"} 1",
            "sarb_request_seconds_bucket{le=\"0.05\"} 1",
            "sarb_request_seconds_bucket{le=\"0.025\"} 0",
            "sarb_images_total{model=\"a \\\"b\\\"\"} 3",
            "sarb_batch_images_sum{model=\"a \\\"b\\\"\"} 3.0",
            "sarb_refused_images_total{model=\"m\"} 2",
            "sarb_queued_images{model=\"m\"} 5",
            "sarb_connections 1",
        ] {
            assert!(text.lines().any(|it| it == line), "{line} in {text}");
        }
        assert!(text.ends_with("# EOF\n"));
    }
}
