"""Find by picture: encoders and indexes of pictures."""
