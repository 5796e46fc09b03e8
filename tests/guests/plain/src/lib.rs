//! Policies that behave, told apart by what they answer: the tests of hot reload
//! swap one for another.

/// Exports a policy that asks for this many replicas, whatever it is given.
#[macro_export]
macro_rules! constant {
    ($replicas:literal) => {
        struct Constant;

        impl hostile::Policy for Constant {
            fn decide(
                _: hostile::Context,
                _: hostile::Input,
            ) -> Result<hostile::Decision, hostile::Error> {
                Ok(hostile::decision(Some($replicas)))
            }
        }

        hostile::export!(Constant);
    };
}
