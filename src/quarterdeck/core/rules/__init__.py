"""Who may do what, where, in which order, and when a person is asked first."""
