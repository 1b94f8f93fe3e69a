# What the service and the people around it may do in KMS, as JSON. It needs no provider, so that it can be
# looked at and tested without an account.

terraform {
  required_version = ">= 1.5"
}

variable "account_id" {
  type        = string
  description = "The account, best one of Chancery's own."
  validation {
    condition     = can(regex("^[0-9]{12}$", var.account_id))
    error_message = "An account has twelve digits."
  }
}

variable "region" {
  type        = string
  description = "The one region. Keys of other regions are nobody's here."
  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]$", var.region))
    error_message = "A region is written like eu-west-1."
  }
}

variable "partition" {
  type    = string
  default = "aws"
}

variable "sealing_key_arns" {
  type        = list(string)
  description = "The key that seals API secrets, and former ones while they are named in the configuration."
  default     = []
  validation {
    condition     = alltrue([for arn in var.sealing_key_arns : can(regex("^arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/[0-9a-f-]+$", arn))])
    error_message = "Keys are named by their ARN, never by an alias and never by a pattern."
  }
}

variable "adopted_key_arns" {
  type        = list(string)
  description = "Keys that somebody else made and that have no tag of ours."
  default     = []
  validation {
    condition     = alltrue([for arn in var.adopted_key_arns : can(regex("^arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/[0-9a-f-]+$", arn))])
    error_message = "Keys are named by their ARN, never by an alias and never by a pattern."
  }
}

variable "imports_keys" {
  type        = bool
  description = "Whether private keys are brought (chancery keys import)."
  default     = false
}

variable "checkpoint_object_arn" {
  type        = string
  description = "The object to which checkpoints are published ([evidence] checkpoint_bucket), if they are."
  default     = ""
  validation {
    condition     = var.checkpoint_object_arn == "" || can(regex("^arn:[a-z-]+:s3:::[a-z0-9.-]+/[^*?]+$", var.checkpoint_object_arn))
    error_message = "One object by its ARN (arn:aws:s3:::bucket/key), never a pattern."
  }
}

variable "administrator_arns" {
  type        = list(string)
  description = "Who looks after the sealing key. They can neither sign nor open anything with it."
  validation {
    condition     = length(var.administrator_arns) > 0 && alltrue([for arn in var.administrator_arns : can(regex("^arn:[a-z-]+:iam::[0-9]{12}:(role|user)/", arn))])
    error_message = "Name at least one role or user of IAM by its ARN; no root, no pattern."
  }
}

variable "service_role_arn" {
  type        = string
  description = "The role that the service runs as."
}

locals {
  any_key = "arn:${var.partition}:kms:${var.region}:${var.account_id}:key/*"
  ours    = { StringLike = { "aws:ResourceTag/chancery-key-id" = "*" } }
  # What a signature may be: a digest, by the two ways that the service knows.
  signature = {
    "kms:SigningAlgorithm" = ["ECDSA_SHA_256", "RSASSA_PKCS1_V1_5_SHA_256"]
    "kms:MessageType"      = "DIGEST"
  }
  data_key = { "kms:EncryptionContext:chancery" = "data key v1" }

  service_statements = concat(
    [
      {
        Sid       = "SignDigests"
        Effect    = "Allow"
        Action    = ["kms:Sign"]
        Resource  = [local.any_key]
        Condition = merge(local.ours, { StringEquals = local.signature })
      },
      {
        Sid       = "LookAtKeys"
        Effect    = "Allow"
        Action    = ["kms:DescribeKey", "kms:GetPublicKey", "kms:ListResourceTags"]
        Resource  = [local.any_key]
        Condition = local.ours
      },
      {
        # A key that was made by a process which died is found by its tag.
        Sid      = "FindKeys"
        Effect   = "Allow"
        Action   = ["kms:ListKeys"]
        Resource = ["*"]
      },
      {
        Sid      = "MakeSigningKeys"
        Effect   = "Allow"
        Action   = ["kms:CreateKey"]
        Resource = ["*"]
        Condition = {
          StringLike = { "aws:RequestTag/chancery-key-id" = "*" }
          StringEquals = {
            "kms:KeyUsage"        = "SIGN_VERIFY"
            "kms:KeySpec"         = ["ECC_SECG_P256K1", "RSA_2048", "RSA_3072", "RSA_4096"]
            "kms:KeyOrigin"       = var.imports_keys ? ["AWS_KMS", "EXTERNAL"] : ["AWS_KMS"]
            "aws:RequestedRegion" = var.region
          }
          Bool = {
            "kms:MultiRegion"                    = "false"
            "kms:BypassPolicyLockoutSafetyCheck" = "false"
          }
        }
      },
      {
        # KMS knows no right to tag only what is being made: with this one the service could tag a key of somebody
        # else's that has no such tag, and use it where its policy leaves that to IAM. So the account is to be
        # Chancery's own.
        Sid      = "TagWhatIsMade"
        Effect   = "Allow"
        Action   = ["kms:TagResource"]
        Resource = [local.any_key]
        Condition = {
          StringLike = { "aws:RequestTag/chancery-key-id" = "*" }
          Null       = { "aws:ResourceTag/chancery-key-id" = "true" }
        }
      },
      {
        Sid       = "SwitchAndEndKeys"
        Effect    = "Allow"
        Action    = ["kms:EnableKey", "kms:DisableKey", "kms:ScheduleKeyDeletion", "kms:CancelKeyDeletion"]
        Resource  = [local.any_key]
        Condition = local.ours
      },
    ],
    [for it in [
      {
        Sid       = "BringKeys"
        Effect    = "Allow"
        Action    = ["kms:GetParametersForImport", "kms:ImportKeyMaterial"]
        Resource  = [local.any_key]
        Condition = local.ours
      },
    ] : it if var.imports_keys],
    [for it in [
      {
        Sid       = "SignWithAdoptedKeys"
        Effect    = "Allow"
        Action    = ["kms:Sign"]
        Resource  = var.adopted_key_arns
        Condition = { StringEquals = local.signature }
      },
      {
        Sid      = "LookAtAdoptedKeys"
        Effect   = "Allow"
        Action   = ["kms:DescribeKey", "kms:GetPublicKey", "kms:ListResourceTags"]
        Resource = var.adopted_key_arns
      },
    ] : it if length(var.adopted_key_arns) > 0],
    [for it in [
      {
        Sid       = "SealAndOpen"
        Effect    = "Allow"
        Action    = ["kms:GenerateDataKey", "kms:Decrypt"]
        Resource  = var.sealing_key_arns
        Condition = { StringEquals = local.data_key }
      },
      {
        Sid      = "LookAtSealingKeys"
        Effect   = "Allow"
        Action   = ["kms:DescribeKey", "kms:ListResourceTags"]
        Resource = var.sealing_key_arns
      },
    ] : it if length(var.sealing_key_arns) > 0],
    [for it in [
      {
        Sid      = "PublishCheckpoints"
        Effect   = "Allow"
        Action   = ["s3:GetObject", "s3:PutObject"]
        Resource = [var.checkpoint_object_arn]
      },
      {
        # Nothing is written over what nobody has looked at.
        Sid       = "WriteOnCondition"
        Effect    = "Deny"
        Action    = ["s3:PutObject"]
        Resource  = [var.checkpoint_object_arn]
        Condition = { Null = { "s3:if-match" = "true", "s3:if-none-match" = "true" } }
      },
      {
        # Without this one S3 says of an object that is not there yet that it is forbidden.
        Sid      = "SeeThatThereIsNone"
        Effect   = "Allow"
        Action   = ["s3:ListBucket"]
        Resource = [split("/", var.checkpoint_object_arn)[0]]
      },
    ] : it if var.checkpoint_object_arn != ""],
  )

  # Of the sealing key itself. Without a statement for the account's root IAM alone gives nobody anything with it.
  sealing_statements = [
    {
      Sid       = "LookAfterIt"
      Effect    = "Allow"
      Principal = { AWS = var.administrator_arns }
      Action = [
        "kms:DescribeKey", "kms:GetKeyPolicy", "kms:PutKeyPolicy", "kms:GetKeyRotationStatus", "kms:EnableKeyRotation",
        "kms:ListResourceTags", "kms:TagResource", "kms:UntagResource", "kms:EnableKey", "kms:DisableKey",
        "kms:ScheduleKeyDeletion", "kms:CancelKeyDeletion", "kms:UpdateKeyDescription", "kms:ListKeyPolicies",
      ]
      Resource = ["*"]
    },
    {
      Sid       = "SealAndOpen"
      Effect    = "Allow"
      Principal = { AWS = [var.service_role_arn] }
      Action    = ["kms:GenerateDataKey", "kms:Decrypt"]
      Resource  = ["*"]
      Condition = { StringEquals = local.data_key }
    },
    {
      Sid       = "LookAtIt"
      Effect    = "Allow"
      Principal = { AWS = [var.service_role_arn] }
      Action    = ["kms:DescribeKey", "kms:ListResourceTags"]
      Resource  = ["*"]
    },
  ]
}

output "service" {
  description = "The policy of the service's role."
  value       = jsonencode({ Version = "2012-10-17", Statement = local.service_statements })
}

output "sealing_key" {
  description = "The policy of the sealing key."
  value       = jsonencode({ Version = "2012-10-17", Statement = local.sealing_statements })
}
