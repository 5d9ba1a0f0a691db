// Cargo insists on a target; this crate only names the dependency to vendor.
