"""Rules, their dated versions, condition trees, which of them apply, and the kinds of rule."""
