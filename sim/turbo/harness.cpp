// Moves the streams of a tile that Verilator compiled, so that Python need not wake in any of its cycles.
//
// model.h has PLANE_BYTES as well, the bytes of a beat. Words and planes come as arrays of bytes, lowest byte first; a
// beat of plane_in may come shorter than it is wide, and its missing bits are 0. All functions are plain C.

#include "bench.h"

namespace {

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

class Bench {
public:
    explicit Bench(std::uint64_t seed) : tile_(seed) {
        quiet();
        tile_.start();
    }

    void begin(const Job& job) {
        job_ = job;
        program_.begin(job.stall_probability, 4 * job.seed + 1);
        plane_in_.begin(job.stall_probability, 4 * job.seed + 2);
        plane_out_.begin(job.stall_probability, 4 * job.seed + 3);
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
        if (state_ == RESET) tile_.reset();
        tile_.read_counters(outcome->counters);
        if (state_ != ENDED && state_ != RESET) tile_.reset();
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
            keep(stored_, tile_->plane_out___05Fpayload, PLANE_BYTES);
        }

        if (offers && tile_->program___05Fready) ++sent_;
        tile_.edge();
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

    Hardware tile_;
    Job job_{};
    Stalls program_, plane_in_, plane_out_;
    std::uint64_t sent_ = 0, cycles_ = 0, taken_ = 0, left_ = 0;
    std::vector<std::uint8_t> stored_;
    const std::uint8_t* beat_ = nullptr;
    const Segment* segment_ = nullptr;
    State state_ = ENDED;
};

}  // namespace

#include "calls.h"
