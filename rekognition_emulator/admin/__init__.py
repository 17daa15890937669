"""What operators do, as functions that return data.

The command line renders what they return; whatever else lets an operator work, such as a web console, calls the same.
Nothing here prints, asks, exits or reads settings. What changes data takes an ``Actor``, for the audit log. What cannot
be done raises ``Refused``, or the error of the layer below that says so; the texts are for operators.
"""
