// Moves the streams of a tile that Verilator compiled, so that Python need not wake in any of its cycles.
//
// model.h says what was compiled: the class Model, COUNTER_COUNT counters, PLANE_BYTES bytes of a beat, and where the
// model remembers its clock, if that is known. Words and planes come as arrays of bytes, lowest byte first; a beat of
// plane_in may come shorter than it is wide, and its missing bits are 0. All functions are plain C.

#include <cstdint>
#include <cstring>
#include <memory>
#include <vector>

#include "model.h"
#include "verilated.h"

namespace {

constexpr std::uint64_t WORD_BYTES = 16;

// Beats of the same length, one after the other.
struct Segment {
    std::uint64_t beats;
    std::uint64_t bytes;
};

struct Job {
    const std::uint8_t* words;
    std::uint64_t word_count;
    const std::uint8_t* beats;
    const Segment* segments;
    std::uint64_t segment_count;
    double stall_probability;       // of each stream, in each cycle
    std::uint64_t seed;             // of the stalls
    std::uint64_t reset_after;      // cycles; 0 for never
    std::uint64_t timeout;          // cycles
};

// As sim.turbo.library.State has them.
enum State : std::uint32_t { RUNNING, ENDED, REFUSED, RESET, TIMED_OUT };

struct Outcome {
    std::uint32_t state;
    std::uint32_t error;
    std::uint32_t error_address;
    std::uint32_t unused;
    std::uint64_t cycles;
    std::uint64_t taken;   // beats of plane_in
    std::uint64_t stored;  // beats of plane_out
    const std::uint8_t* beats;  // PLANE_BYTES for each of them; they stay until the next job
    std::uint64_t counters[COUNTER_COUNT];
};

// Pauses of a stream: in each cycle one with the same probability (xorshift64*, Vigna, arXiv:1402.6246).
class Stalls {
public:
    Stalls(double probability, std::uint64_t seed)
        : threshold_(static_cast<std::uint64_t>(probability * 4294967296.0)), state_(seed * 2 + 1) {}

    bool pauses() {
        if (threshold_ == 0) return false;
        state_ ^= state_ >> 12;
        state_ ^= state_ << 25;
        state_ ^= state_ >> 27;
        return (state_ * 2685821657736338717ull) >> 32 < threshold_;
    }

private:
    std::uint64_t threshold_;
    std::uint64_t state_;
};

template <class Port>
void put(Port& port, const std::uint8_t* bytes, std::uint64_t count) {
    std::memcpy(&port, bytes, count);
    if (count < sizeof(Port)) std::memset(reinterpret_cast<std::uint8_t*>(&port) + count, 0, sizeof(Port) - count);
}

class Bench {
public:
    explicit Bench(std::uint64_t seed) {
        context_.randReset(2);
        context_.randSeed(static_cast<int>(seed % 2147483647u) + 1);
        tile_ = std::make_unique<Model>(&context_);
        tile_->clk = 0;
        tile_->rst = 1;
        tile_->counter_index = 0;
        quiet();
        tile_->eval();
        reset();
    }

    ~Bench() { tile_->final(); }

    void begin(const Job& job) {
        job_ = job;
        program_ = Stalls(job.stall_probability, 4 * job.seed + 1);
        plane_in_ = Stalls(job.stall_probability, 4 * job.seed + 2);
        plane_out_ = Stalls(job.stall_probability, 4 * job.seed + 3);
        sent_ = cycles_ = taken_ = 0;
        stored_.clear();
        beat_ = job.beats;
        segment_ = job.segments;
        left_ = job.segment_count ? segment_->beats : 0;
        state_ = RUNNING;
    }

    // At most so many cycles of the job; returns its state.
    State run(std::uint64_t most) {
        for (std::uint64_t end = cycles_ + most; state_ == RUNNING && cycles_ < end;) cycle();
        return state_;
    }

    void report(Outcome* outcome) {
        outcome->state = state_;
        outcome->error = tile_->error;
        outcome->error_address = tile_->error_address;
        outcome->cycles = cycles_;
        outcome->taken = taken_;
        outcome->stored = stored_.size() / PLANE_BYTES;
        outcome->beats = stored_.data();
        quiet();
        if (state_ == RESET) reset();
        for (int index = 0; index < COUNTER_COUNT; ++index) {
            tile_->counter_index = index;
            tile_->eval();
            outcome->counters[index] = tile_->counter_value;
        }
        if (state_ != ENDED && state_ != RESET) reset();
    }

private:
    void cycle() {
        // Whether a stream moves depends on registers of the tile alone, so all of it is known before the edge. Of
        // plane_in and plane_out the tile never waits for both, nor for one of them and for an instruction.
        const bool offers = sent_ < job_.word_count && !program_.pauses();
        tile_->program___05Fvalid = offers;
        if (offers) put(tile_->program___05Fpayload, job_.words + sent_ * WORD_BYTES, WORD_BYTES);

        const bool gives = tile_->plane_in___05Fready && next_beat() && !plane_in_.pauses();
        tile_->plane_in___05Fvalid = gives;
        if (gives) {
            put(tile_->plane_in___05Fpayload, beat_, segment_->bytes);
            beat_ += segment_->bytes;
            --left_;
            ++taken_;
        }

        const bool takes = !plane_out_.pauses();
        tile_->plane_out___05Fready = takes;
        if (takes && tile_->plane_out___05Fvalid) {
            const auto* bytes = reinterpret_cast<const std::uint8_t*>(&tile_->plane_out___05Fpayload);
            stored_.insert(stored_.end(), bytes, bytes + PLANE_BYTES);
        }

        if (offers && tile_->program___05Fready) ++sent_;
        edge();
        ++cycles_;
        if (tile_->error) {
            state_ = REFUSED;
        } else if (sent_ && tile_->done) {
            state_ = ENDED;
        } else if (job_.reset_after && cycles_ == job_.reset_after) {
            state_ = RESET;
        } else if (cycles_ >= job_.timeout) {
            state_ = TIMED_OUT;
        }
    }

    bool next_beat() {
        while (left_ == 0) {
            if (segment_ == nullptr || segment_ + 1 >= job_.segments + job_.segment_count) return false;
            ++segment_;
            left_ = segment_->beats;
        }
        return true;
    }

    void quiet() {
        tile_->program___05Fvalid = 0;
        tile_->plane_in___05Fvalid = 0;
        tile_->plane_out___05Fready = 0;
    }

    void edge() {
        tile_->clk = 1;
        tile_->eval();
        tile_->clk = 0;
#ifdef CLOCK_BEFORE
        // The clock falls and nothing else happens: only what the model remembers of it needs to change.
        tile_->rootp->CLOCK_BEFORE = 0;
#else
        tile_->eval();
#endif
    }

    void reset() {
        tile_->rst = 1;
        edge();
        edge();
        tile_->rst = 0;
        edge();
    }

    VerilatedContext context_;
    std::unique_ptr<Model> tile_;
    Job job_{};
    Stalls program_{0.0, 1}, plane_in_{0.0, 1}, plane_out_{0.0, 1};
    std::uint64_t sent_ = 0, cycles_ = 0, taken_ = 0, left_ = 0;
    std::vector<std::uint8_t> stored_;
    const std::uint8_t* beat_ = nullptr;
    const Segment* segment_ = nullptr;
    State state_ = ENDED;
};

}  // namespace

extern "C" {

void* bench_create(std::uint64_t seed) { return new Bench(seed); }

void bench_destroy(void* bench) { delete static_cast<Bench*>(bench); }

void bench_begin(void* bench, const Job* job) { static_cast<Bench*>(bench)->begin(*job); }

std::uint32_t bench_run(void* bench, std::uint64_t most) { return static_cast<Bench*>(bench)->run(most); }

void bench_report(void* bench, Outcome* outcome) { static_cast<Bench*>(bench)->report(outcome); }

}  // extern "C"
