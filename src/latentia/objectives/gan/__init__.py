"""The adversarial objective and its parts."""
