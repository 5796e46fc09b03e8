//! Clouds that node groups live in.
