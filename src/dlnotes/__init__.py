"""Reference implementations of Deep Learning Notes, Executed."""
