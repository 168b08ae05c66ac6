// The matrices that a subgroup multiplies at once.
const FRAGMENT: u32 = 16u;
alias FragmentA = coop_mat16x16<f16, A>;
alias FragmentB = coop_mat16x16<f16, B>;
alias FragmentC = coop_mat16x16<f32, C>;
