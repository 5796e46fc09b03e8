//! Never finishes starting: `_initialize` is run by the start function of the
//! component.

use hostile::Policy;

struct Guest;

/// Run while the component is instantiated.
#[unsafe(no_mangle)]
extern "C" fn _initialize() {
    loop {
        std::hint::spin_loop();
    }
}

impl Policy for Guest {}

hostile::export!(Guest);
