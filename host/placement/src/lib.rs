//! Would the scheduler put this pod on this node?
