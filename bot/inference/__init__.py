"""The client of the model server, and the model server as a child process."""
