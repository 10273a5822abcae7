// Everything that a program which embeds Ember needs comes with `import Ember`.

@_exported import EmberEvaluation
@_exported import EmberFormat
@_exported import EmberGeneration
@_exported import EmberModel
@_exported import EmberQuantizer
@_exported import EmberTokenizer

@_exported import struct SystemPackage.Errno
@_exported import struct SystemPackage.FilePath
