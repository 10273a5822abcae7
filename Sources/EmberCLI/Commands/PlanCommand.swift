import ArgumentParser
import Ember
import EmberEvaluation
import EmberFormat
import EmberKernels

/// `ember plan`: will it fit, and how fast will it be?
struct PlanCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "plan",
    abstract: "Tell what a model will take of memory, before it is loaded.",
    discussion: """
      Prints where a memory budget would go, what every token would read from the disk and from \
      memory, and what speed the two allow, measured now. Where the budget is too small, it says \
      what would do, and the exit status is \(ExitStatus.outOfMemory.rawValue). A checkpoint (a \
      folder, a GGUF file or a llama2.c .bin file) is planned as it would be converted to --bits.

        ember plan model.q4 --memory 1G
        ember plan my-model/ --bits 4 --memory 2G --context 4096 --json

      Decoding a token takes as long as reading the streamed weights from the disk, or all weights \
      from memory, whichever is longer: no faster than that, and about so fast where neither the \
      processor nor a long context is the limit. Reads up to 512 MB of the file for 0.4 seconds.
      """)

  @Argument(
    help: "Model file, or a checkpoint that could become one.", completion: .file(),
    transform: filePath)
  var model: FilePath

  @OptionGroup(title: "Memory") var memory: MemoryOptions

  @Option(
    name: .long, parsing: .unconditional,
    help: ArgumentHelp(
      "Positions to make room for, in tokens, or auto: the model's own number, or what the memory"
        + " allows. (default: auto)", valueName: "tokens"))
  var context: ContextLength?

  @OptionGroup var cache: CacheOptions

  @Option(
    name: .long,
    help: ArgumentHelp(
      "Bits per weight that a checkpoint would be converted to. (default: 4)", valueName: "bits"))
  var bits: Precision?

  @Flag(inversion: .prefixedNo, help: "Measure how fast the disk and the memory are read.")
  var measure = true

  @OptionGroup var threads: ThreadOptions
  @OptionGroup var json: JSONOption

  func validate() throws {
    try require("--context", context?.positions, in: 1...Int.max)
  }

  func run() throws {
    UnsafeSignalHandlers.exitOnSignals()
    UnsafeSignalHandlers.reportFaults(in: [model])
    let subject = try PlanSubject(
      opening: model, bits: bits?.rawValue, resident: ProcessMemory.resident)
    var request = memory.request(
      context: context?.request ?? .automatic, cachePrecision: cache.precision)
    var report = try PlanReport(subject, request)
    if measure {
      // What a plan's own process may take, too, beyond what it has.
      let free = report.plan.budget.map { max(0, $0 - ProcessMemory.resident) } ?? .max
      report.add(try PlanSpeed(of: subject.weightsFile, free: free, threads: threads.threads))
    }
    if json.json {
      try JSONOutput.write(report)
    } else {
      try StandardOutput.write(report.text)
    }
    // What a run would say.
    request.isForced = memory.force
    _ = try subject.plan(request)
  }
}

/// A model file, or what a checkpoint would become.
struct PlanSubject {
  let path: FilePath
  let architecture: Architecture
  let inventory: WeightInventory
  /// What a process has resident once the model is opened.
  let resident: Int
  let fileBytes: Int?
  let tensorBytes: Int
  let parameterCount: Int
  /// nil for a model file.
  let bits: Int?
  /// The largest file that weights are read from.
  let weightsFile: FilePath
  let forecast: (_ bits: Int) throws -> ConversionForecast

  /// What opening a model takes beyond its description: code that was not run before and the
  /// directory of tensors. Measured with files of 30 to 200 tensors: 1.8 to 2.2 MB.
  private static let openingBytes = 2 << 20

  /// - Parameter resident: of this process before anything is opened.
  init(opening path: FilePath, bits: Int?, resident: Int) throws {
    self.path = path
    guard let loaded = try Self.model(at: path) else {
      let options = { QuantizationOptions(bits: $0) }
      let found = try ConversionForecast(of: path, options: options(bits ?? 4))
      architecture = found.architecture
      inventory = found.inventory
      self.resident = resident + found.inventory.descriptionBytes + Self.openingBytes
      fileBytes = found.fileBytes
      tensorBytes = found.tensorBytes
      parameterCount = found.parameterCount
      self.bits = bits ?? 4
      weightsFile = found.weightsFile ?? path
      forecast = { try ConversionForecast(of: path, options: options($0)) }
      return
    }
    if let bits {
      throw ValidationError(
        "--bits \(bits): expected a checkpoint that is not converted yet, found a model file")
    }
    architecture = loaded.model.architecture
    inventory = loaded.model.inventory
    self.resident = ProcessMemory.resident
    fileBytes = loaded.model.file.fileBytes
    tensorBytes = loaded.model.file.tensors.reduce(0) { $0 + $1.byteCount }
    parameterCount = loaded.model.parameterCount
    self.bits = nil
    weightsFile = path
    let model = loaded.model
    forecast = { try ConversionForecast(of: model, options: QuantizationOptions(bits: $0)) }
  }

  /// nil where the path leads to a checkpoint.
  private static func model(at path: FilePath) throws -> LoadedModel? {
    let isNamedLikeCheckpoint = ["bin", "safetensors"].contains(path.extension)
    do {
      return try LoadedModel(opening: path)
    } catch let error as FormatError {
      switch error.category {
      case .isDirectory: return nil
      case .notModelFile where isNamedLikeCheckpoint: return nil
      default: throw error
      }
    }
  }

  /// What would do instead of a request that is refused; empty where it is not.
  func refusal(of request: MemoryRequest) -> [MemoryAdvice] {
    do throws(ModelError) {
      _ = try plan(request)
      return []
    } catch {
      if case .budgetTooSmall(_, _, _, let advice) = error { return advice }
      return []
    }
  }

  /// - Throws: `ModelError`
  func plan(_ request: MemoryRequest) throws(ModelError) -> MemoryPlan {
    try MemoryPlan(
      inventory, architecture, request, resident: resident, name: path.string)
  }
}

/// How fast weights can be read here, in bytes per second; nil where that cannot be told.
struct PlanSpeed {
  var disk: Double?
  var memory: Double?

  /// - Parameter free: bytes that measuring may take.
  init(of file: FilePath, free: Int, threads: Int?) throws {
    let least = 16 << 20
    let piece = free / 8 >= 4 << 20 ? 4 << 20 : 1 << 20
    if free >= 8 << 20 { disk = try DiskBandwidth.measure(file, pieceBytes: piece) }
    if free >= 2 * least {
      let bandwidth = try ReadBandwidth(limit: min(128 << 20, free / 2))
      memory = bandwidth.measure(threads: threads ?? ThreadCount.recommended)
    }
  }
}
