import CKernels
import Foundation

/// How many threads are worth starting.
public enum ThreadCount {
  /// Physical cores that this process may use: affinity and the container's quota respected.
  ///
  /// Two hardware threads of a core share its arithmetic units and its way to memory, so a second
  /// one mostly waits for the first.
  public static let recommended: Int = max(1, min(physicalCores, quota ?? .max))

  #if os(Linux)
    /// Distinct cores among the processors in the affinity mask.
    private static var physicalCores: Int {
      var cores = Set<String>()
      for cpu in 0..<1024 where ember_may_run_on(Int32(cpu)) == 1 {
        let siblings = contents("/sys/devices/system/cpu/cpu\(cpu)/topology/thread_siblings_list")
        cores.insert(siblings ?? "\(cpu)")
      }
      return cores.isEmpty ? ProcessInfo.processInfo.activeProcessorCount : cores.count
    }

    /// Whole processors that the cgroup's quota comes to, or nil where there is none.
    private static var quota: Int? {
      if let line = contents("/sys/fs/cgroup/cpu.max") {
        let fields = line.split(separator: " ").compactMap { Double($0) }
        return fields.count == 2 ? Int(fields[0] / fields[1]) : nil
      }
      guard let quota = contents("/sys/fs/cgroup/cpu/cpu.cfs_quota_us").flatMap(Double.init),
        let period = contents("/sys/fs/cgroup/cpu/cpu.cfs_period_us").flatMap(Double.init),
        quota > 0, period > 0
      else { return nil }
      return Int(quota / period)
    }

    private static func contents(_ path: String) -> String? {
      (try? String(contentsOfFile: path, encoding: .utf8))?
        .trimmingCharacters(in: .whitespacesAndNewlines)
    }
  #else
    private static var physicalCores: Int {
      var count: Int32 = 0
      var size = MemoryLayout<Int32>.size
      // Performance cores only, where there are two kinds.
      for name in ["hw.perflevel0.physicalcpu", "hw.physicalcpu"]
      where sysctlbyname(name, &count, &size, nil, 0) == 0 && count > 0 {
        return Int(count)
      }
      return ProcessInfo.processInfo.activeProcessorCount
    }

    private static let quota: Int? = nil
  #endif
}
