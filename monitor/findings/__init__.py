"""Detects what is wrong with a program: rules over the store, hysteresis and thresholds. See docs/findings.md."""
