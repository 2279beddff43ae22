// The C interface of a harness, whose Bench, Job and Outcome stand above.

extern "C" {

void* bench_create(std::uint64_t seed) { return new Bench(seed); }

void bench_destroy(void* bench) { delete static_cast<Bench*>(bench); }

void bench_begin(void* bench, const Job* job) { static_cast<Bench*>(bench)->begin(*job); }

std::uint32_t bench_run(void* bench, std::uint64_t most) { return static_cast<Bench*>(bench)->run(most); }

void bench_report(void* bench, Outcome* outcome) { static_cast<Bench*>(bench)->report(outcome); }

}  // extern "C"
