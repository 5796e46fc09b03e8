//! Asks for two replicas.

plain::constant!(2);
