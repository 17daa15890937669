"""The command line: a second face of the program beside ``wire``, and as thin. Says what the floors below measured."""
