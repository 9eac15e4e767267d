"""Metrics of many programs: one aggregate of all workers, as Prometheus text and as OTLP. See docs/metrics.md."""
