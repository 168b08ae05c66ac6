//! Buffers, dispatches, the tape: what every op stands on.

mod faults;

use desirepath::gpu::{Groups, SENTINEL, compose};
use desirepath::{Error, Gpu, Options, Tape, Tensor, kernel, ops};
use std::sync::OnceLock;

fn gpu() -> &'static Gpu {
    static GPU: OnceLock<Gpu> = OnceLock::new();
    GPU.get_or_init(|| Gpu::open(Options { guard: true, ..Options::from_env() }).expect("an adapter"))
}

#[test]
fn what_is_written_is_read_back() {
    let data: Vec<f32> = (0..1000).map(|i| i as f32).collect();
    let x = Tensor::from_slice(gpu(), &data, &[10, 100]);
    assert_eq!(x.to_vec::<f32>().unwrap(), data);
    assert_eq!(x.row_range(7, 2).reshape(&[200]).to_vec::<f32>().unwrap(), data[700..900]);
}

#[test]
fn an_upload_does_not_overtake_commands_recorded_before_it() {
    for round in 0..50 {
        let x = Tensor::from_slice(gpu(), &[round as f32; 64], &[64]);
        let doubled = ops::scale(&mut Tape::off(), &x, 2.0);
        x.write(&[-1.0f32; 64]); // the kernel above has not run yet
        assert_eq!(doubled.to_vec::<f32>().unwrap(), [2.0 * round as f32; 64]);
        assert_eq!(x.to_vec::<f32>().unwrap(), [-1.0; 64]);
    }
}

#[test]
fn memory_returns_to_the_pool() {
    let gpu = Gpu::open(Options::from_env()).unwrap();
    for _ in 0..100 {
        let x = Tensor::full(&gpu, &[1 << 18], 1.0);
        let _y = ops::scale(&mut Tape::off(), &x, 3.0);
    }
    gpu.sync().unwrap();
    let memory = gpu.memory();
    assert_eq!(memory.live, 0);
    assert_eq!(memory.peak, 2 << 20);
    assert_eq!(memory.reserved, 2 << 20, "two buffers, used a hundred times");
    gpu.trim().unwrap();
    assert_eq!(gpu.memory().reserved, 0);
}

#[test]
fn unwritten_memory_is_poisoned_and_tails_are_watched() {
    let x = Tensor::empty(gpu(), &[5]);
    assert_eq!(x.to_vec::<u32>().unwrap(), [SENTINEL; 5]);
    let patch = |name: &str, source: &str| match name {
        "fill" => source.replace("y[i] = ", "y[i + 1u] = "),
        _ => source.to_string(),
    };
    let options = Options { guard: true, patch: Some(std::sync::Arc::new(patch)), ..Options::from_env() };
    if options.checked {
        return println!("skipped: checked shaders cannot write outside");
    }
    let broken = Gpu::open(options).unwrap();
    let y = Tensor::full(&broken, &[64], 1.0);
    assert!(matches!(broken.check_guards(), Err(Error::Gpu(_))), "a write behind the end goes unnoticed");
    drop(y);
    broken.sync().unwrap();
    Tensor::full(&broken, &[64], 1.0);
    assert!(broken.check_guards().is_err(), "a write behind the end of what was dropped since goes unnoticed");
    broken.check_guards().unwrap();
    gpu().check_guards().unwrap();
}

#[test]
fn gradients_add_up_where_a_value_is_used_twice() {
    let x = Tensor::from_slice(gpu(), &[1.0f32, 2.0, 3.0], &[3]).parameter();
    let constant = Tensor::from_slice(gpu(), &[1.0f32; 3], &[3]);
    let mut tape = Tape::new(0);
    let twice = ops::scale(&mut tape, &x, 2.0);
    let y = ops::add(&mut tape, &twice, &x);
    let y = ops::add(&mut tape, &y, &constant);
    let grads = tape.backward_from(&y, Tensor::from_slice(gpu(), &[1.0f32, 10.0, 100.0], &[3]));
    assert_eq!(grads.get(&x).unwrap().to_vec::<f32>().unwrap(), [3.0, 30.0, 300.0]);
    assert!(grads.get(&constant).is_none());
}

#[test]
fn a_tape_that_is_off_keeps_nothing() {
    let x = Tensor::full(gpu(), &[4], 1.0).parameter();
    let mut tape = Tape::off();
    let y = ops::scale(&mut tape, &x, 2.0);
    assert!(!tape.tracks(&y));
    assert!(tape.backward_from(&y, Tensor::full(gpu(), &[4], 1.0)).get(&x).is_none());
}

#[test]
fn a_loss_without_parameters_is_a_mistake() {
    let mistake = |work: &(dyn Fn() + std::panic::RefUnwindSafe)| {
        let panic = std::panic::catch_unwind(work).expect_err("it passes silently");
        *panic.downcast::<String>().unwrap_or_else(|p| Box::new((*p.downcast::<&str>().unwrap()).to_string()))
    };
    let x = Tensor::full(gpu(), &[1], 1.0).parameter();
    let loss = |x: &Tensor, mut tape: Tape| {
        let y = ops::scale(&mut tape, x, 2.0);
        tape.backward(&y).take(x)
    };
    assert!(loss(&x, Tape::new(0)).is_some());
    assert!(mistake(&|| drop(loss(&Tensor::full(gpu(), &[1], 1.0), Tape::new(0)))).contains("no parameter leads"));
    assert!(mistake(&|| drop(loss(&Tensor::full(gpu(), &[1], 1.0).parameter(), Tape::off()))).contains("no parameter"));
}

#[test]
fn a_view_does_not_lose_a_gradient_silently() {
    let views = |x: &Tensor| drop(ops::scale(&mut Tape::new(0), &x.row_range(0, 2), 2.0));
    views(&Tensor::full(gpu(), &[4], 1.0));
    ops::scale(&mut Tape::off(), &Tensor::full(gpu(), &[4], 1.0).parameter().row_range(0, 2), 2.0);
    // A parameter may be a part of memory that it shares with others.
    let shared = || Tensor::full(gpu(), &[8], 1.0).row_range(0, 4).parameter();
    ops::scale(&mut Tape::new(0), &shared(), 2.0);
    assert!(std::panic::catch_unwind(|| views(&shared())).is_err());
    let of_parameter = || views(&Tensor::full(gpu(), &[4], 1.0).parameter().row_range(0, 3));
    assert!(std::panic::catch_unwind(of_parameter).is_err());
    let of_result = || {
        let mut tape = Tape::new(0);
        let y = ops::scale(&mut tape, &Tensor::full(gpu(), &[4], 1.0).parameter(), 2.0);
        ops::scale(&mut tape, &y.row_range(0, 2), 2.0);
    };
    assert!(std::panic::catch_unwind(of_result).is_err());
}

#[test]
fn too_large_is_an_error_and_not_a_panic() {
    let x = Tensor::empty(gpu(), &[1 << 20, 1 << 20]);
    let y = ops::scale(&mut Tape::off(), &x, 2.0);
    let error = y.to_vec::<f32>().unwrap_err();
    assert!(matches!(error, Error::OutOfMemory(_)), "{error}");
    let says = |what: &str| error.to_string().contains(what);
    assert!(says("4398046511104 bytes in one piece") && says("use fewer items, or a smaller dim"), "{error}");
    assert_eq!(Tensor::full(gpu(), &[2], 5.0).to_vec::<f32>().unwrap(), [5.0; 2], "the device goes on");
}

#[test]
fn an_adapter_that_does_not_exist_is_named_with_those_that_do() {
    let wanted = Options { adapter: Some("no such adapter".into()), ..Options::from_env() };
    let message = Gpu::open(wanted).unwrap_err().to_string();
    assert!(message.contains("no such adapter") && message.contains("0: "), "{message}");
}

#[test]
fn a_shader_that_does_not_compile_is_an_error() {
    let patch = |_: &str, source: &str| source.replace("params.n", "params.nonsense");
    let options = Options { patch: Some(std::sync::Arc::new(patch)), ..Options::from_env() };
    let broken = Gpu::open(options).unwrap();
    let error = Tensor::full(&broken, &[4], 1.0).to_vec::<f32>().unwrap_err();
    assert!(error.to_string().contains("kernel fill"), "{error}");
}

#[test]
fn many_threads_share_a_device() {
    let work = |seed: usize| {
        let x = Tensor::full(gpu(), &[1000 + seed], seed as f32);
        let mut sum = x.clone();
        for _ in 0..20 {
            sum = ops::add(&mut Tape::off(), &sum, &x);
        }
        assert_eq!(sum.to_vec::<f32>().unwrap(), vec![21.0 * seed as f32; 1000 + seed]);
    };
    std::thread::scope(|s| (0..8).for_each(|seed| drop(s.spawn(move || work(seed)))));
}

#[test]
fn profiling_names_the_kernels() {
    let gpu = Gpu::open(Options::from_env()).unwrap();
    if !gpu.info().timestamps {
        return println!("skipped: no timestamps on {}", gpu.info());
    }
    gpu.set_profiling(true);
    let x = Tensor::full(&gpu, &[1 << 16], 1.0);
    for _ in 0..3 {
        ops::scale(&mut Tape::off(), &x, 2.0);
    }
    let timings = gpu.take_timings().unwrap();
    let scale = timings.iter().find(|t| t.kernel == "scale").unwrap();
    assert_eq!(scale.dispatches, 3);
    assert!(scale.nanoseconds > 0.0);
}

#[test]
fn large_counts_fold_over_y() {
    assert_eq!(Groups::from(0u32).0, [0, 0, 1]);
    assert_eq!(Groups::from(65_535u32).0, [65_535, 1, 1]);
    let Groups([x, y, 1]) = Groups::from(200_000u32) else { panic!("a third axis") };
    assert!(x <= 65_535 && x * y >= 200_000 && x * y < 200_000 + y);
}

#[test]
fn constants_are_set_in_the_text() {
    static K: desirepath::gpu::Kernel = kernel!("fill");
    assert!(compose(&K, &[]).contains("fn main"));
    assert!(std::panic::catch_unwind(|| compose(&K, &[("NO_SUCH", 1)])).is_err());
}
