"""What is wrong with a program, said by itself: rules over the store, hysteresis, thresholds. See docs/findings.md."""
