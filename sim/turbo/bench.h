// What the harnesses of all compiled designs share: pauses of streams, bytes into ports, clock, reset and counters.
//
// model.h says what was compiled: the class Model, COUNTER_COUNT counters, and where the model remembers its clock, if
// that is known.

#include <cstdint>
#include <cstring>
#include <memory>
#include <vector>

#include "model.h"
#include "verilated.h"

namespace {

// Of a word of a program.
constexpr std::uint64_t WORD_BYTES = 16;

// As sim.turbo.compiled.State has them.
enum State : std::uint32_t { RUNNING, ENDED, REFUSED, RESET, TIMED_OUT };

// Pauses of a stream: in each cycle one with the same probability (xorshift64*, Vigna, arXiv:1402.6246).
class Stalls {
public:
    void begin(double probability, std::uint64_t seed) {
        threshold_ = static_cast<std::uint64_t>(probability * 4294967296.0);
        state_ = seed * 2 + 1;
    }

    bool pauses() {
        if (threshold_ == 0) return false;
        state_ ^= state_ >> 12;
        state_ ^= state_ << 25;
        state_ ^= state_ >> 27;
        return (state_ * 2685821657736338717ull) >> 32 < threshold_;
    }

private:
    std::uint64_t threshold_ = 0;
    std::uint64_t state_ = 1;
};

template <class Port>
void put(Port& port, const std::uint8_t* bytes, std::uint64_t count) {
    std::memcpy(&port, bytes, count);
    if (count < sizeof(Port)) std::memset(reinterpret_cast<std::uint8_t*>(&port) + count, 0, sizeof(Port) - count);
}

template <class Port>
void keep(std::vector<std::uint8_t>& words, const Port& port, std::uint64_t count) {
    const auto* bytes = reinterpret_cast<const std::uint8_t*>(&port);
    words.insert(words.end(), bytes, bytes + count);
}

// A model with its clock. Its streams are to be quiet before it starts.
class Hardware {
public:
    explicit Hardware(std::uint64_t seed) {
        context_.randReset(2);
        context_.randSeed(static_cast<int>(seed % 2147483647u) + 1);
        model_ = std::make_unique<Model>(&context_);
        model_->clk = 0;
        model_->rst = 1;
        model_->counter_index = 0;
    }

    ~Hardware() { model_->final(); }

    Model* operator->() { return model_.get(); }

    void start() {
        model_->eval();
        reset();
    }

    void edge() {
        model_->clk = 1;
        model_->eval();
        model_->clk = 0;
#ifdef CLOCK_BEFORE
        // The clock falls and nothing else happens: only what the model remembers of it needs to change.
        model_->rootp->CLOCK_BEFORE = 0;
#else
        model_->eval();
#endif
    }

    void reset() {
        model_->rst = 1;
        edge();
        edge();
        model_->rst = 0;
        edge();
    }

    void read_counters(std::uint64_t* values) {
        for (unsigned index = 0; index < COUNTER_COUNT; ++index) {
            model_->counter_index = index;
            model_->eval();
            values[index] = model_->counter_value;
        }
    }

private:
    VerilatedContext context_;
    std::unique_ptr<Model> model_;
};

}  // namespace
