"""The pages of the centre: they show what is stored and rule over nothing."""
