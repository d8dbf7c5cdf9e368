"""The one door to every model call of the product."""
