"""The demo: the main job on real servers, played, verified and measured."""
