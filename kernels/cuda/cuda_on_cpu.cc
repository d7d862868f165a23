#include "cuda_on_cpu.h"

#include <sys/mman.h>

#include <new>
#include <stdexcept>
#include <vector>

#ifndef __x86_64__
#error "the switch between fibers is written for x86-64, the one processor that TensorFlow's set-up is for"
#endif

thread_local Dim threadIdx, blockIdx, blockDim, gridDim;

// Saves the stack pointer of what runs, and goes on with what was saved as `to`.
extern "C" void celoraSwitch(void** from, void* to) __attribute__((visibility("hidden")));
asm(R"(
.text
.globl celoraSwitch
.hidden celoraSwitch
.type celoraSwitch, @function
celoraSwitch:
  push %rbp
  push %rbx
  push %r12
  push %r13
  push %r14
  push %r15
  mov %rsp, (%rdi)
  mov %rsi, %rsp
  pop %r15
  pop %r14
  pop %r13
  pop %r12
  pop %rbx
  pop %rbp
  ret
.size celoraSwitch, .-celoraSwitch
)");

namespace {

constexpr unsigned WARP = 32, MOST_THREADS = 1024;
constexpr size_t STACK = 64 << 10;

enum class State { ready, atBlock, atWarp, done };

struct Fiber {
  void* stackPointer;
  State state;
  unsigned shuffles;
};

struct Block {
  char* stacks = nullptr;
  Fiber fibers[MOST_THREADS];
  // what the lanes show each other, in turns: a lane may be at its next shuffle while others still read
  float shown[2][MOST_THREADS];
  void* scheduler;
  unsigned current;
  // Every other block begins with its last thread: what misses a barrier may show in one order only.
  bool backwards = false;
  const std::function<void()>* thread;

  Block() {
    void* memory = mmap(nullptr, STACK * MOST_THREADS, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) throw std::bad_alloc();
    stacks = static_cast<char*>(memory);
  }
  ~Block() { munmap(stacks, STACK * MOST_THREADS); }

  Fiber& fiber() { return fibers[current]; }
  void wait(State state) {
    fiber().state = state;
    celoraSwitch(&fiber().stackPointer, scheduler);
  }
  void start(unsigned count);
  void resume(unsigned index);
  bool release(unsigned from, unsigned to, State barrier);
  void run(unsigned count);
};

Block& block() {
  static thread_local Block own;
  return own;
}

void enter() {
  (*block().thread)();
  block().wait(State::done);
}

void Block::start(unsigned count) {
  for (unsigned i = 0; i < count; i++) {
    void** top = reinterpret_cast<void**>(stacks + STACK * (i + 1));
    *--top = nullptr;  // a function finds the stack 8 bytes off a multiple of 16
    *--top = reinterpret_cast<void*>(enter);
    for (int registers = 0; registers < 6; registers++) *--top = nullptr;
    fibers[i] = {top, State::ready, 0};
  }
}

void Block::resume(unsigned index) {
  current = index;
  threadIdx = {index % blockDim.x, index / blockDim.x % blockDim.y, index / (blockDim.x * blockDim.y)};
  celoraSwitch(&scheduler, fiber().stackPointer);
}

// Lets go on what waits at a barrier, if nothing that is not done is elsewhere.
bool Block::release(unsigned from, unsigned to, State barrier) {
  bool any = false;
  for (unsigned i = from; i < to; i++) {
    if (fibers[i].state != State::done && fibers[i].state != barrier) return false;
    any = any || fibers[i].state == barrier;
  }
  for (unsigned i = from; i < to; i++) {
    if (fibers[i].state == barrier) fibers[i].state = State::ready;
  }
  return any;
}

void Block::run(unsigned count) {
  start(count);
  backwards = !backwards;
  const unsigned warps = (count + WARP - 1) / WARP;
  do {
    for (unsigned w = 0; w < warps; w++) {
      const unsigned from = (backwards ? warps - 1 - w : w) * WARP, to = from + WARP < count ? from + WARP : count;
      do {
        for (unsigned i = from; i < to; i++) {
          const unsigned index = backwards ? to - 1 - (i - from) : i;
          if (fibers[index].state == State::ready) resume(index);
        }
      } while (release(from, to, State::atWarp));
    }
  } while (release(0, count, State::atBlock));
  for (unsigned i = 0; i < count; i++) {
    if (fibers[i].state != State::done) throw std::logic_error("threads of a block part at a barrier");
  }
}

}  // namespace

void __syncthreads() { block().wait(State::atBlock); }

// What the lane shows that `from` says of one's own; below 0 it is one's own.
template <class From>
static float shown(float value, From from) {
  Block& own = block();
  const unsigned turn = own.fiber().shuffles++ % 2, index = own.current, lane = index % WARP;
  own.shown[turn][index] = value;
  own.wait(State::atWarp);
  const int other = from(static_cast<int>(lane));
  return other < 0 ? value : own.shown[turn][index - lane + other];
}

float __shfl_sync(unsigned, float value, int lane) {
  return shown(value, [&](int) { return lane; });
}
float __shfl_xor_sync(unsigned, float value, int lanes) {
  return shown(value, [&](int own) { return own ^ lanes; });
}
float __shfl_up_sync(unsigned, float value, int lanes) {
  return shown(value, [&](int own) { return own - lanes; });
}

void runOnCpu(Dim grid, Dim size, const std::function<void()>& thread) {
  Block& own = block();
  own.thread = &thread;
  gridDim = grid;
  blockDim = size;
  for (unsigned z = 0; z < grid.z; z++) {
    for (unsigned y = 0; y < grid.y; y++) {
      for (unsigned x = 0; x < grid.x; x++) {
        blockIdx = {x, y, z};
        own.run(size.x * size.y * size.z);
      }
    }
  }
}
