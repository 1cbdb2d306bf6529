"""Words for figures, in the two languages of the pages."""
