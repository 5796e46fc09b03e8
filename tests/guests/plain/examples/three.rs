//! Asks for three replicas.

plain::constant!(3);
