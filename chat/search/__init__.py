"""Search in titles and message texts: how texts are divided into words, how queries are read, and what is found."""
