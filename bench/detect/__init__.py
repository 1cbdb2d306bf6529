"""How fast, how wrongly and at what price each rule finds a failing link, on links whose failures are known."""
