"""One class a panel: it fills the widgets of its .ui file from a state, and hands what the user does to its presenter."""
