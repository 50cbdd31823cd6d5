"""Learn what "similar" means from images, then find, compare and judge by it."""
