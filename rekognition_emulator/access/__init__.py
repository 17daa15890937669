"""Who may do what: keys, policies and sessions. Knows neither HTTP nor faces nor SQL."""
