//! Policies that read labels and annotations by row.
