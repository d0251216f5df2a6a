"""What a model can do, how it learns, and the loop that moves it: capabilities, objectives, players."""
