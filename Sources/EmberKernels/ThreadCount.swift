import CKernels
import Foundation

/// How many threads are worth starting.
public enum ThreadCount {
  /// Physical cores that this process may use: affinity and the container's quota respected.
  ///
  /// Two hardware threads of a core share its arithmetic units and its way to memory, so a second
  /// one mostly waits for the first.
  public static let recommended: Int = {
    #if os(Linux)
      return recommended(cores: physicalCores, quota: ControlGroup.current.processorQuota)
    #else
      return max(1, physicalCores)
    #endif
  }()

  /// Threads for so many cores and a quota of so many processors.
  ///
  /// A broken quota is rounded up: 1.5 processors keep two threads going for three quarters of the
  /// time, where a single thread would leave a third of the quota unused.
  package static func recommended(cores: Int, quota: Double?) -> Int {
    guard let quota, quota < Double(cores) else { return max(1, cores) }
    return max(1, Int(quota.rounded(.up)))
  }

  #if os(Linux)
    /// Distinct cores among the processors in the affinity mask.
    private static var physicalCores: Int {
      let cores = physicalCores(
        mayRunOn: { ember_may_run_on(Int32($0)) == 1 },
        contents: { try? String(contentsOfFile: $0, encoding: .utf8) })
      return cores > 0 ? cores : ProcessInfo.processInfo.activeProcessorCount
    }

    /// - Parameters:
    ///   - mayRunOn: whether a processor is in the affinity mask.
    ///   - contents: the files to read, for tests.
    package static func physicalCores(
      mayRunOn: (Int) -> Bool, contents: ControlGroup.Contents
    ) -> Int {
      var cores = Set<String>()
      for processor in 0..<1024 where mayRunOn(processor) {
        let path = "/sys/devices/system/cpu/cpu\(processor)/topology/thread_siblings_list"
        let siblings = contents(path)?.trimmingCharacters(in: .whitespacesAndNewlines)
        cores.insert(siblings ?? "\(processor)")
      }
      return cores.count
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
  #endif
}
