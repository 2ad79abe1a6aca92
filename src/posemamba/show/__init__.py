"""Results to look at: the web page and the overlay."""
