// reduce_simd — what reduce does, by one subgroup without barriers: for adapters that are CPUs.

const REDUCE_SIZE = SIMD;

/// The sum of `value` over the workgroup, in every invocation.
fn workgroup_sum(value: f32, invocation: u32) -> f32 {
    return subgroupAdd(value);
}
