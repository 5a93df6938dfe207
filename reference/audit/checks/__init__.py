"""The checks of an audit: one module for each piece of a target, with what they share."""
