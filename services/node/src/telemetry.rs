//! What the process tells of itself: logs to standard error, traces over OTLP where asked for.

use std::io::IsTerminal as _;
use std::time::Duration;

use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::{Protocol, WithExportConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _};

use crate::config::Config;

/// Longest wait for one export.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(5);

/// Keeps the exporter alive; [`Telemetry::flush`] sends what is left.
pub struct Telemetry {
    provider: Option<SdkTracerProvider>,
}

impl Telemetry {
    /// Sets up logging and, with `otlp-endpoint`, tracing for the process.
    ///
    /// # Errors
    /// When the filter or the endpoint cannot be used; the text says why.
    pub fn start(config: &Config) -> Result<Self, String> {
        let filter = EnvFilter::try_new(&config.log).map_err(|error| format!("log: {error}"))?;
        let format = if config.log_json {
            tracing_subscriber::fmt::layer()
                .json()
                .with_writer(std::io::stderr)
                .boxed()
        } else {
            tracing_subscriber::fmt::layer()
                .with_ansi(std::io::stderr().is_terminal())
                .with_writer(std::io::stderr)
                .boxed()
        };
        let provider = config.otlp_endpoint.as_deref().map(provider).transpose()?;
        let traces = provider.as_ref().map(|provider| {
            opentelemetry::global::set_text_map_propagator(TraceContextPropagator::new());
            // Only our own spans: what the exporter's client does must not make traces of its own.
            let ours = Targets::new().with_target("node::traces", LevelFilter::INFO);
            tracing_opentelemetry::layer()
                .with_tracer(provider.tracer("wakeline"))
                .with_filter(ours)
        });
        tracing_subscriber::registry()
            .with(traces)
            .with(format.with_filter(filter))
            .try_init()
            .map_err(|error| error.to_string())?;
        Ok(Self { provider })
    }

    /// Sends the traces that are still here.
    pub fn flush(self) {
        if let Some(provider) = self.provider
            && let Err(error) = provider.shutdown()
        {
            tracing::warn!(%error, "the last traces were not sent");
        }
    }
}

fn provider(endpoint: &str) -> Result<SdkTracerProvider, String> {
    let exporter = opentelemetry_otlp::SpanExporter::builder()
        .with_http()
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(format!("{}/v1/traces", endpoint.trim_end_matches('/')))
        .with_timeout(EXPORT_TIMEOUT)
        .build()
        .map_err(|error| format!("otlp-endpoint: {error}"))?;
    Ok(SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        .with_resource(Resource::builder().with_service_name("wakeline").build())
        .build())
}
