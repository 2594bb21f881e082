// SPDX-License-Identifier: LGPL-3.0-or-later
//
// The guest's memory in blocks that can be taken online and offline.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "qga/detail/protocol/carrier.hpp"
#include "qga/detail/protocol/handling.hpp"

namespace qga::inline v0_1 {

/// A block of memory. @since QEMU 2.3
struct GuestMemoryBlock {
  std::uint64_t phys_index = 0;          ///< the guest's number for the block
  bool online = false;                   ///< whether the guest uses it
  std::optional<bool> can_offline = {};  ///< given by `get_memory_blocks`, ignored when set

  static void fields(auto& self, auto& visit) {
    visit("phys-index", self.phys_index);
    visit("online", self.online);
    visit("can-offline", self.can_offline);
  }
  friend bool operator==(const GuestMemoryBlock&, const GuestMemoryBlock&) = default;
};

/// What became of a block that was to change. @since QEMU 2.3
enum class GuestMemoryBlockResponseType {
  success,
  not_found,
  operation_not_supported,
  operation_failed,
  unknown,
};

constexpr std::array<std::string_view, 4> wire_names(GuestMemoryBlockResponseType) {
  return {"success", "not-found", "operation-not-supported", "operation-failed"};
}

/// What `set_memory_blocks` replies for one block. @since QEMU 2.3
struct GuestMemoryBlockResponse {
  std::uint64_t phys_index = 0;  ///< the guest's number for the block
  GuestMemoryBlockResponseType response =
      GuestMemoryBlockResponseType::unknown;  ///< what became of it
  std::optional<std::int64_t> error_code;     ///< the guest's errno, where it failed

  static void fields(auto& self, auto& visit) {
    visit("phys-index", self.phys_index);
    visit("response", self.response);
    visit("error-code", self.error_code);
  }
  friend bool operator==(const GuestMemoryBlockResponse&,
                         const GuestMemoryBlockResponse&) = default;
};

/// What `get_memory_block_info` replies. @since QEMU 2.3
struct GuestMemoryBlockInfo {
  std::uint64_t size = 0;  ///< of each block, in bytes

  static void fields(auto& self, auto& visit) { visit("size", self.size); }
  friend bool operator==(const GuestMemoryBlockInfo&, const GuestMemoryBlockInfo&) = default;
};

/// `guest-get-memory-blocks`. @since QEMU 2.3
struct GuestGetMemoryBlocksRequest : NoArguments {
  using Reply = std::vector<GuestMemoryBlock>;
  static constexpr std::string_view command = "guest-get-memory-blocks";
};

/// `guest-set-memory-blocks`. @since QEMU 2.3
struct GuestSetMemoryBlocksRequest {
  using Reply = std::vector<GuestMemoryBlockResponse>;
  static constexpr std::string_view command = "guest-set-memory-blocks";

  std::vector<GuestMemoryBlock> mem_blks;  ///< which, and their new state

  GuestSetMemoryBlocksRequest() = default;
  explicit GuestSetMemoryBlocksRequest(std::vector<GuestMemoryBlock> mem_blks_)
      : mem_blks(std::move(mem_blks_)) {}

  static void fields(auto& self, auto& visit) { visit("mem-blks", self.mem_blks); }
};

/// `guest-get-memory-block-info`. @since QEMU 2.3
struct GuestGetMemoryBlockInfoRequest : NoArguments {
  using Reply = GuestMemoryBlockInfo;
  static constexpr std::string_view command = "guest-get-memory-block-info";
};

/// The commands for blocks of memory: which are online, and change that. See `Commands` for what
/// holds for all of them.
///
/// All fail while file systems are frozen (`CommandNotFoundError`).
/// @tparam Carrier as for `Commands`
template <class Carrier>
class MemoryCommands {
 public:
  /// The guest's memory blocks, online and offline, in any order.
  /// @return `std::vector<GuestMemoryBlock>`
  /// @throws AgentError the guest has no such blocks, or could not list them
  /// @timeout 5 s. Nothing changes in the guest.
  /// @since QEMU 2.3, Linux guests
  auto get_memory_blocks() {
    return detail::carrier_of(*this).execute(GuestGetMemoryBlocksRequest{});
  }

  /// Takes memory blocks online or offline, in the order of the list.
  /// @param mem_blks which, and their new state; `can_offline` is ignored. Empty: nothing happens.
  /// @return `std::vector<GuestMemoryBlockResponse>`, in the same order; a block that failed shows
  ///         there and is not thrown
  /// @throws AgentError the guest has no such blocks
  /// @timeout 5 s, and to take memory in use offline is slow. After a timeout any number of the
  ///          blocks may be changed: ask `get_memory_blocks`.
  /// @since QEMU 2.3, Linux guests
  auto set_memory_blocks(std::vector<GuestMemoryBlock> mem_blks) {
    return detail::carrier_of(*this).execute(GuestSetMemoryBlocksRequest(std::move(mem_blks)));
  }

  /// How large a memory block is.
  /// @return `GuestMemoryBlockInfo`, in bytes
  /// @throws AgentError the guest has no such blocks
  /// @timeout 5 s. Nothing changes in the guest.
  /// @since QEMU 2.3, Linux guests
  auto get_memory_block_info() {
    return detail::carrier_of(*this).execute(GuestGetMemoryBlockInfoRequest{});
  }
};

}  // namespace qga::inline v0_1
