// Moves the streams of a macro that Verilator compiled, so that Python need not wake in any of its cycles.
//
// model.h has ROW_BYTES and EVENT_BYTES as well, the bytes of a row and of a word of events. Words come as arrays of
// bytes, lowest byte first. All functions are plain C.

#include "bench.h"

namespace {

// The streams in the order of their seeds.
enum Stream { PROGRAM, ROWS_IN, EVENTS, ROWS_OUT, SPIKES, STREAMS };

struct Job {
    const std::uint8_t* words[3];  // of PROGRAM, ROWS_IN and EVENTS
    std::uint64_t counts[3];
    double stall_probability;  // of each stream, in each cycle
    std::uint64_t seed;        // of the stalls
    std::uint64_t timeout;     // cycles
};

struct Outcome {
    std::uint32_t state;
    std::uint32_t error;
    std::uint32_t error_address;
    std::uint32_t unused;
    std::uint64_t cycles;
    std::uint64_t taken[3];
    std::uint64_t given[2];            // rows and spikes
    const std::uint8_t* words[2];      // ROW_BYTES for each of them; they stay until the next job
    std::uint64_t counters[COUNTER_COUNT];
};

class Bench {
public:
    explicit Bench(std::uint64_t seed) : macro_(seed) {
        quiet();
        macro_.start();
    }

    void begin(const Job& job) {
        job_ = job;
        for (int stream = 0; stream < STREAMS; ++stream) {
            stalls_[stream].begin(job.stall_probability, 8 * job.seed + stream);
        }
        std::memset(taken_, 0, sizeof taken_);
        for (auto& words : given_) words.clear();
        cycles_ = 0;
        state_ = RUNNING;
        shown_[PROGRAM] = shown_[ROWS_IN] = shown_[EVENTS] = ~0ull;
    }

    // At most so many cycles of the job; returns its state.
    State run(std::uint64_t most) {
        for (std::uint64_t end = cycles_ + most; state_ == RUNNING && cycles_ < end;) cycle();
        return state_;
    }

    void report(Outcome* outcome) {
        outcome->state = state_;
        outcome->error = macro_->error;
        outcome->error_address = macro_->error_address;
        outcome->cycles = cycles_;
        std::memcpy(outcome->taken, taken_, sizeof taken_);
        for (int stream = 0; stream < 2; ++stream) {
            outcome->given[stream] = given_[stream].size() / ROW_BYTES;
            outcome->words[stream] = given_[stream].data();
        }
        quiet();
        macro_.read_counters(outcome->counters);
        if (state_ != ENDED) macro_.reset();
    }

private:
    void cycle() {
        bool valid[3];
        for (int stream = PROGRAM; stream <= EVENTS; ++stream) {
            valid[stream] = taken_[stream] < job_.counts[stream] && !stalls_[stream].pauses();
        }
        show(PROGRAM, valid[PROGRAM], macro_->program___05Fvalid, macro_->program___05Fpayload, WORD_BYTES);
        show(ROWS_IN, valid[ROWS_IN], macro_->rows_in___05Fvalid, macro_->rows_in___05Fpayload, ROW_BYTES);
        show(EVENTS, valid[EVENTS], macro_->events___05Fvalid, macro_->events___05Fpayload, EVENT_BYTES);
        const bool takes_rows = !stalls_[ROWS_OUT].pauses(), takes_spikes = !stalls_[SPIKES].pauses();
        changed_ |= macro_->rows_out___05Fready != takes_rows || macro_->spikes___05Fready != takes_spikes;
        macro_->rows_out___05Fready = takes_rows;
        macro_->spikes___05Fready = takes_spikes;
        // Streams wait for each other within a cycle: what they show is known only when all have said what they want.
        if (changed_) macro_->eval();
        changed_ = false;

        const bool moves[3] = {valid[PROGRAM] && macro_->program___05Fready, valid[ROWS_IN] && macro_->rows_in___05Fready,
                               valid[EVENTS] && macro_->events___05Fready};
        if (takes_rows && macro_->rows_out___05Fvalid) keep(given_[0], macro_->rows_out___05Fpayload, ROW_BYTES);
        if (takes_spikes && macro_->spikes___05Fvalid) keep(given_[1], macro_->spikes___05Fpayload, ROW_BYTES);
        for (int stream = PROGRAM; stream <= EVENTS; ++stream) taken_[stream] += moves[stream];
        macro_.edge();
        ++cycles_;
        if (macro_->error) {
            state_ = REFUSED;
        } else if (taken_[PROGRAM] && macro_->done) {
            state_ = ENDED;
        } else if (cycles_ >= job_.timeout) {
            state_ = TIMED_OUT;
        }
    }

    template <class Port>
    void show(Stream stream, bool valid, CData& flag, Port& port, std::uint64_t bytes) {
        changed_ |= flag != valid;
        flag = valid;
        if (!valid || shown_[stream] == taken_[stream]) return;
        changed_ = true;
        put(port, job_.words[stream] + taken_[stream] * bytes, bytes);
        shown_[stream] = taken_[stream];
    }

    void quiet() {
        macro_->program___05Fvalid = 0;
        macro_->rows_in___05Fvalid = 0;
        macro_->events___05Fvalid = 0;
        macro_->rows_out___05Fready = 0;
        macro_->spikes___05Fready = 0;
        changed_ = true;
    }

    Hardware macro_;
    Job job_{};
    Stalls stalls_[STREAMS];
    std::uint64_t taken_[3] = {}, shown_[3] = {}, cycles_ = 0;
    std::vector<std::uint8_t> given_[2];
    State state_ = ENDED;
    bool changed_ = true;
};

}  // namespace

#include "calls.h"
