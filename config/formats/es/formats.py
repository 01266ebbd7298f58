"""Numbers as browsers write them in this language (CLDR); Django's own formats differ."""

DECIMAL_SEPARATOR = ","
THOUSAND_SEPARATOR = "."
NUMBER_GROUPING = 3
