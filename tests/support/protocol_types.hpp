// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Every type of the protocol as a list, so that a test can walk all of them, and the facts that
// they must agree with (data/qga-protocol.json).
#pragma once

#include <cstddef>
#include <fstream>
#include <string>
#include <string_view>
#include <type_traits>

#include <nlohmann/json.hpp>

#include "qga/commands.hpp"

namespace qga::test {

template <class... Ts>
struct Types {
  static constexpr std::size_t size = sizeof...(Ts);

  /// Calls `visit(std::type_identity<T>())` for each type.
  template <class Visit>
  static void each(Visit visit) {
    (visit(std::type_identity<Ts>()), ...);
  }
};

using Requests =
    Types<GuestSyncDelimitedRequest, GuestSyncRequest, GuestPingRequest, GuestGetTimeRequest,
          GuestSetTimeRequest, GuestInfoRequest, GuestShutdownRequest, GuestFileOpenRequest,
          GuestFileCloseRequest, GuestFileReadRequest, GuestFileWriteRequest, GuestFileSeekRequest,
          GuestFileFlushRequest, GuestFsfreezeStatusRequest, GuestFsfreezeFreezeRequest,
          GuestFsfreezeFreezeListRequest, GuestFsfreezeThawRequest, GuestFstrimRequest,
          GuestSuspendDiskRequest, GuestSuspendRamRequest, GuestSuspendHybridRequest,
          GuestNetworkGetInterfacesRequest, GuestGetVcpusRequest, GuestSetVcpusRequest,
          GuestGetDisksRequest, GuestGetFsinfoRequest, GuestSetUserPasswordRequest,
          GuestGetMemoryBlocksRequest, GuestSetMemoryBlocksRequest, GuestGetMemoryBlockInfoRequest,
          GuestExecStatusRequest, GuestExecRequest, GuestGetHostNameRequest, GuestGetUsersRequest,
          GuestGetTimezoneRequest, GuestGetOsinfoRequest, GuestGetDevicesRequest,
          GuestSshGetAuthorizedKeysRequest, GuestSshAddAuthorizedKeysRequest,
          GuestSshRemoveAuthorizedKeysRequest, GuestGetDiskstatsRequest, GuestGetCpustatsRequest,
          GuestGetLoadRequest, GuestNetworkGetRouteRequest, GuestGetDriverPackagesRequest,
          GuestGetDriverServicesRequest>;

using Structs =
    Types<GuestAgentCommandInfo, GuestAgentInfo, GuestFileRead, GuestFileWrite, GuestFileSeek,
          GuestFilesystemTrimResult, GuestFilesystemTrimResponse, GuestIpAddress,
          GuestNetworkInterfaceStat, GuestNetworkInterface, GuestLogicalProcessor, GuestPCIAddress,
          GuestCCWAddress, GuestDiskAddress, GuestNVMeSmart, GuestDiskInfo, GuestFilesystemInfo,
          GuestMemoryBlock, GuestMemoryBlockResponse, GuestMemoryBlockInfo, GuestExecStatus,
          GuestExec, GuestHostName, GuestUser, GuestTimezone, GuestOSInfo, GuestDeviceIdPCI,
          GuestDeviceInfo, GuestAuthorizedKeys, GuestDiskStats, GuestDiskStatsInfo,
          GuestLinuxCpuStats, GuestLoadAverage, GuestNetworkRoute, GuestDriverPackage,
          GuestDriverService>;

using Enums = Types<QGASeek, GuestFsfreezeStatus, GuestIpAddressType, GuestDiskBusType,
                    GuestMemoryBlockResponseType, GuestExecCaptureOutputMode, GuestDeviceType,
                    GuestCpuStatsType, GuestDriverServiceStatus>;

using Unions = Types<GuestDiskSmart, GuestDeviceId, GuestCpuStats>;

using Alternates = Types<GuestFileWhence, GuestExecCaptureOutput>;

/// `what` of the function signature that the compiler spells out, without its namespaces.
constexpr std::string_view last_name(std::string_view signature, std::string_view what) {
  signature.remove_prefix(signature.find(what) + what.size());
  signature = signature.substr(0, signature.find_first_of(";]"));
  return signature.substr(signature.rfind(':') + 1);
}

/// The name of a type, as in the protocol. The alternates are aliases and have none of their own.
template <class T>
constexpr std::string_view type_name() {
  if constexpr (std::is_same_v<T, GuestFileWhence>) {
    return "GuestFileWhence";
  } else if constexpr (std::is_same_v<T, GuestExecCaptureOutput>) {
    return "GuestExecCaptureOutput";
  } else {
    return last_name(__PRETTY_FUNCTION__, "T = ");
  }
}

inline const nlohmann::json& protocol_facts() {
  static const auto facts =
      nlohmann::json::parse(std::ifstream(QGA_TEST_DATA "/qga-protocol.json"));
  return facts;
}

/// The entry called `name` in one of the lists of the facts.
inline const nlohmann::json& fact(std::string_view list, std::string_view name) {
  static const nlohmann::json none;
  for (const auto& entry : protocol_facts().at(std::string(list))) {
    if (entry.at("name") == name) return entry;
  }
  return none;
}

}  // namespace qga::test
