"""Who may do what: access keys, policies and sessions. Knows neither HTTP nor faces nor SQL."""
